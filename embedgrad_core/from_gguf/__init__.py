"""A GGUF file, as llama.cpp and Ollama use, as an ordinary Hugging Face model folder.

``header.py`` reads the metadata within the file's bounds; ``families.py`` knows the architectures; ``tokenizer.py`` the rules of
byte-level BPE; ``tied.py`` whether input and output embeddings are one matrix; ``note.py`` what a folder says of its origin;
``convert.py`` puts them together. Whatever is not known is refused: a wrong guess would be a model that runs and answers worse.
"""
