"""A whole small fleet of real Redis servers on this machine: for ``dvbboxes demo`` and for the tests."""
