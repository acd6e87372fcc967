"""What SQS, DynamoDB and the parameter store have in common: session, region, and what AWS's errors mean."""
