"""The long flow of writing: Plan -> masters -> read back -> dvbbox's update -> replicas -> Report (SPEC 6)."""
