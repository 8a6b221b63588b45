"""The arithmetic of wrong labels: held-out predictions, how labels err, and how likely each is wrong."""
