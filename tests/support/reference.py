"""EmbedGrad in forty plain lines, the oracle of the core's tests: single items, full logits, no cleverness."""

import torch


def item_loss(model, vectors, head, body, target):
    """Eq. 6 for one item: summed cross-entropy of the target tokens, from the model's own logits."""
    embed = model.get_input_embeddings()
    parts = [embed(torch.tensor(head, dtype=torch.long)), vectors, embed(torch.tensor([*body, *target]))]
    logits = model(inputs_embeds=torch.cat(parts)[None]).logits[0]
    loss = torch.zeros(())
    for place, token in enumerate(target):
        row = logits[len(head) + len(vectors) + len(body) + place - 1]
        loss = loss - torch.log_softmax(row, dim=0)[token]
    return loss


def embedgrad(model, prompt_ids, items, *, learning_rate, batches):
    """Eq. 7: Adam on the prompt's embeddings; ``items`` are (head, body, target), ``batches`` their indices."""
    vectors = model.get_input_embeddings()(torch.tensor(prompt_ids)).detach().clone().requires_grad_()
    adam = torch.optim.Adam([vectors], lr=learning_rate)
    for batch in batches:
        adam.zero_grad()
        loss = torch.zeros(())
        for index in batch:
            loss = loss + item_loss(model, vectors, *items[index])
        (loss / len(batch)).backward()
        adam.step()
    return vectors.detach()


@torch.no_grad()
def greedy(model, vectors, head, body, *, max_new_tokens, stop_ids):
    """Eq. 8-9: plain argmax over the whole sequence again at each step; returns tokens and entropies in bits."""
    embed = model.get_input_embeddings()
    tokens, entropies = [], []
    while len(tokens) < max_new_tokens and not (tokens and tokens[-1] in stop_ids):
        rest = embed(torch.tensor([*body, *tokens], dtype=torch.long))
        sequence = torch.cat([embed(torch.tensor(head, dtype=torch.long)), vectors, rest])[None]
        p = torch.softmax(model(inputs_embeds=sequence).logits[0, -1].double(), dim=0)
        entropies.append(float(-(p * torch.log2(p.clamp_min(1e-300))).sum()))
        tokens.append(int(p.argmax()))
    return tokens, entropies
