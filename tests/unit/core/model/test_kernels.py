"""oneDNN's products against PyTorch's own."""

import pytest
import torch

from embedgrad_core.model import kernels


@pytest.fixture
def layers():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(600, 700), torch.nn.SiLU(), torch.nn.Linear(700, 500, bias=False))
    plain.requires_grad_(False)
    fast = torch.nn.Sequential(torch.nn.Linear(600, 700), torch.nn.SiLU(), torch.nn.Linear(700, 500, bias=False))
    fast.load_state_dict(plain.state_dict())
    fast.requires_grad_(False)
    kernels.freeze_linears(fast)
    return plain, fast


def test_large_weights_are_taken_and_small_ones_left(layers):
    _, fast = layers
    assert isinstance(fast[0], kernels.FrozenLinear)
    small = torch.nn.Sequential(torch.nn.Linear(20, 20))
    kernels.freeze_linears(small)
    assert type(small[0]) is torch.nn.Linear


@pytest.mark.parametrize("rows", [(1,), (16,), (3, 70)])
def test_values_and_gradient_equal(layers, rows):
    plain, fast = layers
    x = torch.randn(*rows, 600, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    torch.testing.assert_close(fast(x), plain(y), rtol=1e-5, atol=1e-5)
    upstream = torch.randn(*rows, 500)
    plain(y).backward(upstream)
    fast(x).backward(upstream)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-5, atol=1e-5)


def test_packed_weights_give_the_same_and_are_given_back(layers):
    plain, fast = layers
    x = torch.randn(16, 600)
    with kernels.packed_weights(fast) as size, torch.inference_mode():
        assert size == (600 * 700 + 700 * 500) * 4
        torch.testing.assert_close(fast(x), plain(x), rtol=1e-5, atol=1e-5)
    assert all(layer.packed is None for layer in (fast[0], fast[2]))
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_nothing_is_packed_where_memory_is_short(layers, monkeypatch):
    monkeypatch.setattr(kernels, "free_memory", lambda: 1000)
    with kernels.packed_weights(layers[1]) as size:
        assert size == 0
        assert layers[1][0].packed is None


def test_other_dtypes_stay_with_pytorch():
    assert not kernels.suits(torch.zeros(600, 700, dtype=torch.float64))
    assert not kernels.suits(torch.zeros(600, 700, dtype=torch.bfloat16))
