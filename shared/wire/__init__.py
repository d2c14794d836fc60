"""The wire between a store's box and the hub: events, batches, receipts, problems."""
