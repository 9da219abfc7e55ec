"""Text prompts on models behind an OpenAI-compatible server: asked once each, kept, graded as all other answers are."""
