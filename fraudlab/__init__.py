"""A workshop on real-time stream processing: the fraud detection system that its learners build."""
