"""The parts of the page. Each builds its elements once and then only changes what is new."""
