"""When a schedule fires and what is done about it. Pure: the time and the rows are arguments."""
