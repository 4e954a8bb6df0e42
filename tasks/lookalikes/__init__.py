"""Look-alikes: who is most likely to do next what the seeds of a segment did."""
