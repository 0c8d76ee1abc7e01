"""What the gateway signs its own tokens with: made, turned and kept by the control plane, told to the authorizer."""
