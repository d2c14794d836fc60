"""What a durable event costs on the box, beside the queues other agents use."""
