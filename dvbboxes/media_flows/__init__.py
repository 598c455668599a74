"""The long flows with files: asked of the replicas, done over ssh and on the masters, verified by looking."""
