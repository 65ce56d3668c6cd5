"""A pair from a folder does what its library does, and what does not fit is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from histofactor.encoders import pair_folder
from histofactor.encoders.pair_folder import read_pair
from histofactor.errors import EncoderError, OptionError
from small_pairs import SIDE_PX, clip_folder, keep_folder

CPU = torch.device("cpu")
TEXTS = ["an image of tumour", "fat"]


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setattr(pair_folder, "has_bfloat16", lambda: False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("pairs") / "clip")


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return keep_folder(tmp_path_factory.mktemp("pairs") / "keep")


@pytest.fixture
def mine(clip, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(clip, tmp_path / "clip")


@pytest.fixture(scope="module")
def patches():
    return np.random.default_rng(0).integers(0, 256, (3, SIDE_PX, SIDE_PX, 3), np.uint8)


def normalised(patches, mean, std):
    pixels = torch.from_numpy(patches).permute(0, 3, 1, 2).double() / 255
    return ((pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)).float()


def cosines(pair, patches):
    images, texts = pair.images(patches), pair.texts(TEXTS)
    assert np.linalg.norm(images, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    return images @ texts.T


@torch.inference_mode()
def test_a_clip_is_that_of_transformers(clip, patches):
    from transformers import CLIPConfig, CLIPModel

    network = CLIPModel(CLIPConfig.from_dict(json.loads((clip / "config.json").read_text()))).eval()
    network.load_state_dict(load_file(clip / "model.safetensors"))
    pixels = normalised(patches, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    ids = torch.tensor([[0, 3, 4, 5, 6, 1], [0, 8, 1, 1, 1, 1]])
    mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    expected = network(input_ids=ids, pixel_values=pixels, attention_mask=mask).logits_per_image
    pair = read_pair(clip, "clip", CPU)
    assert cosines(pair, patches) * pair.scale == pytest.approx(expected.numpy(), abs=1e-4)
    assert pair.side_px == SIDE_PX
    assert pair.revision.startswith("sha256:")
    assert str(pair) == f"clip ({pair.revision[:19]})"


@torch.inference_mode()
def test_a_keep_is_put_together_as_its_authors_do(keep, patches):
    import timm
    from transformers import BertConfig, BertModel

    config, state = json.loads((keep / "config.json").read_text()), load_file(keep / "model.safetensors")
    sizes = {"patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2}
    visual = timm.create_model(
        "vit_large_patch16_224", img_size=SIDE_PX, init_values=0.1, num_classes=0, **sizes
    ).eval()
    renamed = {name.removeprefix("visual."): one for name, one in state.items() if name.startswith("visual.")}
    visual.load_state_dict({
        name.replace("ls1.weight", "ls1.gamma").replace("ls2.weight", "ls2.gamma"): one for name, one in renamed.items()
    })  # fmt: skip
    text = BertModel(BertConfig(**config["text_config"])).eval()
    text.load_state_dict({name.removeprefix("text."): one for name, one in state.items() if name.startswith("text.")})
    hidden = visual(normalised(patches, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    weights = [state[f"visual_head.{layer}.{part}"] for layer in (0, 2) for part in ("weight", "bias")]
    linear = torch.nn.functional.linear
    images = linear(torch.nn.functional.gelu(linear(hidden, *weights[:2])), *weights[2:])
    ids = torch.tensor([[2, 1, 1, 7, 5, 3], [2, 6, 3, 0, 0, 0]])
    texts = text(input_ids=ids, attention_mask=(ids > 0).long()).pooler_output
    expected = torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    pair = read_pair(keep, "keep", CPU)
    assert cosines(pair, patches) == pytest.approx(expected.numpy(), abs=1e-5)
    assert pair.scale == pytest.approx(25)


def test_images_are_normalised_as_the_folder_says(mine, patches):
    before = read_pair(mine, "x", CPU).images(patches)
    stated = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    (mine / "preprocessor_config.json").write_text(json.dumps(stated))
    assert read_pair(mine, "x", CPU).images(patches) == pytest.approx(before)
    (mine / "preprocessor_config.json").write_text(json.dumps({**stated, "image_mean": [0.5, 0.5, 0.5]}))
    assert np.abs(read_pair(mine, "x", CPU).images(patches) - before).max() > 1e-4
    (mine / "preprocessor_config.json").write_text(json.dumps({"image_std": [0, 1, 1]}))
    with pytest.raises(EncoderError, match="makes no sense"):
        read_pair(mine, "x", CPU)


def test_images_in_bfloat16_where_the_processor_has_it(clip, patches, monkeypatch):
    pair = read_pair(clip, "clip", CPU)
    exact, exact_texts = pair.images(patches), pair.texts(TEXTS)
    monkeypatch.setattr(pair_folder, "has_bfloat16", lambda: True)
    made = pair.images(patches)
    assert made.dtype == np.float32
    assert np.abs(made - exact).max() > 1e-6
    assert (made * exact).sum(1) == pytest.approx(1, abs=1e-3)
    assert (pair.texts(TEXTS) == exact_texts).all()


@pytest.mark.parametrize("told", [{"avx512_bf16": True}, {"amx_bf16": True}, {"avx2": True}, {}])
def test_what_the_processor_tells(told, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert pair_folder.has_bfloat16() == ("avx2" not in told and bool(told))
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not pair_folder.has_bfloat16()


def test_tokenizers_of_vocabulary_and_merges(mine):
    expected = read_pair(mine, "x", CPU).texts(["fat"])
    (mine / "tokenizer.json").unlink()
    words = ["<|startoftext|>", "<|endoftext|>", *(f"[{place}]" for place in range(2, 8)), "fat</w>", "f", "a"]
    (mine / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate([*words, "t</w>"])}))
    (mine / "merges.txt").write_text("#version: 0.2\na t</w>\nf at</w>\n")
    vocabulary = json.loads((mine / "vocab.json").read_text()) | {"at</w>": 12}
    config = json.loads((mine / "config.json").read_text())
    config["text_config"]["vocab_size"] += 1
    (mine / "vocab.json").write_text(json.dumps(vocabulary))
    (mine / "config.json").write_text(json.dumps(config))
    state = tensors(mine)
    name = "text_model.embeddings.token_embedding.weight"
    state[name] = torch.cat([state[name], torch.zeros(1, 32)])
    save_file(state, mine / "model.safetensors")
    assert read_pair(mine, "x", CPU).texts(["Fat"]) == pytest.approx(expected, abs=1e-6)


def rewritten(name, **changes):
    def spoil(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes}))

    return spoil


def with_tensor(change):
    def spoil(folder):
        state = tensors(folder)
        change(state)
        save_file(state, folder / "model.safetensors")

    return spoil


def tensors(folder):
    """Copies, since those of the library lie in the file, which is written anew."""
    return {name: one.clone() for name, one in load_file(folder / "model.safetensors").items()}


def as_pickle(folder):
    torch.save(tensors(folder), folder / "model.safetensors")


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (only_pickle, "lacks model.safetensors.*got pytorch_model.bin"),
        (as_pickle, "no safetensors file"),
        (lambda folder: (folder / "config.json").unlink(), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "no JSON object"),
        (rewritten("config.json", model_type="siglip"), "no vision-language model.*'siglip'"),
        (rewritten("config.json", text_config={"hidden_size": "x"}), "describes no network"),
        (rewritten("config.json", text_config=None), "describes no network"),
        (rewritten("config.json", text_config={"num_hidden_layers": 10**9}), "1000000000 layers"),
        (rewritten("config.json", vision_config={"hidden_size": 1_200_000}), "of another shape"),
        (rewritten("config.json", projection_dim=10**11), "of another shape"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "lacks a tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer in .* cannot be read"),
        (lambda folder: (folder / "tokenizer.json").write_text('{"version": "NaN"}'), "tokenizer in .* cannot be read"),
        (rewritten("tokenizer_config.json", eos_token="fat"), "do not fit together"),
        (with_tensor(lambda state: state.pop("visual_projection.weight")), "1 missing: visual_projection.weight"),
        (with_tensor(lambda state: state["text_projection.weight"].fill_(np.nan)), "NaN"),
        (with_tensor(lambda state: state["logit_scale"].fill_(20)), "a scale of cosines"),
    ],
)
def test_folders_that_are_refused(mine, spoil, told):
    spoil(mine)
    with pytest.raises(EncoderError, match=told):
        read_pair(mine, "x", CPU)


def test_code_of_a_folder_is_not_run(mine):
    (mine / "evil.py").write_text("raise SystemExit('ran')")
    auto = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config", "AutoTokenizer": ["evil.T", "evil.T"]}
    rewritten("config.json", auto_map=auto)(mine)
    rewritten("tokenizer_config.json", auto_map=auto, tokenizer_class="evil.T")(mine)
    assert read_pair(mine, "x", CPU).texts(["fat"]).shape == (1, 24)


def test_a_prompt_that_is_too_long_is_not_cut(clip):
    with pytest.raises(OptionError, match=r"too long for the model.*16 tokens at most.*got 42"):
        read_pair(clip, "x", CPU).texts(["fat", "fat " * 40])


def test_a_tokenizer_of_another_network_is_told(keep, tmp_path):
    folder = shutil.copytree(keep, tmp_path / "keep")
    words = (folder / "vocab.txt").read_text().replace("fat", "bone")
    (folder / "vocab.txt").write_text(f"{words}fat\n")
    pair = read_pair(folder, "x", CPU)
    assert pair.texts(["bone"]).shape == (1, 24)
    with pytest.raises(EncoderError, match="not that of the network; expected 8 tokens; got token 8"):
        pair.texts(["fat"])
    (folder / "vocab.txt").write_bytes(b"[PAD]\n\xff\n")
    with pytest.raises(EncoderError, match=r"tokenizer in .* cannot be read"):
        read_pair(folder, "x", CPU)


def test_old_buffers_are_passed_over(mine, patches):
    expected = read_pair(mine, "x", CPU).images(patches)
    with_tensor(lambda state: state.update({"vision_model.embeddings.position_ids": torch.arange(5)}))(mine)
    assert read_pair(mine, "x", CPU).images(patches) == pytest.approx(expected)


def test_prompts_in_words_that_the_tokenizer_does_not_know(clip):
    pair = read_pair(clip, "clip", CPU)
    pair.texts(["an image of tumour", "an image of Fettgewebe"])  # one of them may be unknown
    with pytest.raises(EncoderError, match="does not know the words") as error:
        pair.texts(["an image of Adenokarzinom", "an image of fat", "an image of Fettgewebe"])
    assert "'an image of Adenokarzinom' and 'an image of Fettgewebe'" in error.value.got
