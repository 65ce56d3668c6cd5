"""Our own networks against the plain definitions of their papers."""

import torch
import torch.nn.functional as F

from histofactor.encoders.own_networks import CTransPath, Musk


def test_a_block_of_musk_is_attention_and_mlp_with_norms_inside():
    torch.manual_seed(0)
    network = Musk(depth=1, dim=32, heads=4, side=64).eval()
    pixels = torch.randn(2, 3, 64, 64)
    block = network.blocks[0]
    with torch.inference_mode():
        grid = network.patch(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([network.cls_token.expand(2, -1, -1), grid], 1) + network.positions
        h = block.self_attn_layer_norm(x)
        q, k, v = (getattr(block.self_attn, f"{part}_proj")(h).reshape(2, 17, 4, 8).transpose(1, 2) for part in "qkv")
        mixed = ((q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v).transpose(1, 2).reshape(2, 17, 32)
        x = x + block.self_attn.out_proj(block.self_attn.inner_attn_ln(mixed))
        h = block.final_layer_norm(x)
        x = x + block.ffn.fc2(block.ffn.ffn_layernorm(F.gelu(block.ffn.fc1(h))))
        torch.testing.assert_close(network(pixels), network.norm(x), atol=1e-5, rtol=1e-5)


def test_ctranspath_is_swin_behind_its_stem():
    torch.manual_seed(0)
    network = CTransPath(depths=(1, 1, 1, 1)).eval()
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        stem = network.patch_embed.norm(network.patch_embed.proj(pixels).permute(0, 2, 3, 1))
        features = network.norm(network.layers(stem))
        torch.testing.assert_close(network.forward_features(pixels), features, atol=1e-5, rtol=1e-5)
    assert features.shape == (1, 7, 7, 768)
    kinds = [type(module).__name__ for module in network.patch_embed.proj]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + ["Conv2d"]
