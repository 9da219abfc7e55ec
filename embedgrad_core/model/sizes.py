"""How much is computed at a time. Forecasts count with the same numbers, so they stand apart and need no torch."""

# Tokens run together in a step. More gains no speed on a CPU, where the activations would leave the cache, and costs memory.
TOKEN_BUDGET = 1024
# A GPU takes more of them at a time, down to that number, by its memory.
GPU_TOKEN_BUDGETS = (8192, 4096, 2048)
# Positions whose logits exist at a time.
CHUNK = 256
# Tokens by which a cache grows beyond what is needed.
GROWTH = 256
# Smaller weights stay with PyTorch's own products: there the call costs more than the product.
SMALLEST = 2**18
# In place of a number of rows: as many as the GPU's memory holds.
AUTO = "auto"
# Rows decoded at a time where nobody chose and no GPU's memory bounds them.
ROWS = 16
# Places of the cache that a GPU's steps read are rounded up to it: few graphs, and at most that many places read in vain.
ROUND = 256
# Where rows of several prompts are answered at once: tokens of head and prompt that each row may hold a copy of; longer ones
# (worked examples) are read once for all their rows. And rows that are kept as one: what a kill costs at most.
OWN, PIECE = 256, 4096
