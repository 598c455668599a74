"""The suite under other clocks: ``make test-clocks`` (`table` has the moments, `shim.c` is the clock)."""
