"""Tasks of lm-evaluation-harness on the workflow's splits, graded by the suite's evaluators; give this folder as --include_path."""
