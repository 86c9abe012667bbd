"""What do languages share? Transfer of probes, harm directions, frozen components and semantic layers."""
