"""The store in one DynamoDB table that any number of workers share.

Leases replace a leader. The worker that writes a row holds the lease on the work that the write makes due:
the index shows the row to other workers only when the lease has expired, and until then the writer works
from memory. Normally one worker handles a row, without extra writes or reads; if it dies, another takes over.
Two workers on one row do no harm: every save is conditional on the version.
"""
