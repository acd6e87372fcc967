"""The store in one DynamoDB table that any number of workers share.

Nobody holds anything for good. Whoever writes a row holds the lease on what the write makes due: the index
shows the row to the others only when the lease has run out, and the writer works from memory until then. So
a row is as a rule touched by one worker, without a further write or read, and one whose worker died is taken
over. Two workers that work on one row all the same do no harm: every save is conditional on the version.
"""
