"""The history of the fleet: samples and changes of state, gathered from memory and written beside the journal."""
