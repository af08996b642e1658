"""The search, in a browser: what people ask is found, by hand, by keyboard and from a file."""

import gzip
import json
import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from conftest import TALL, axe_objections

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))

from search_index import SYNONYM, split_name, terms  # noqa: E402

from notebooks import chapters  # noqa: E402

BUDGET = 320_000  # bytes, compressed: the library, the index and the search itself
QUESTIONS = "book/questions.html"

# Each question of book/questions.md by how its heading begins, and two or more other ways to ask.
REWORDINGS = {
    "Did OpenCV 5 change the output": [
        "opencv 5 onnx different output than opencv 4",
        "opencv 5 dnn auto_pad wrong result",
    ],
    'Why does ONNX Runtime say "padding values must be non-negative"': [
        "onnxruntime padding values must be non-negative pool",
        "onnx runtime error non-negative padding same pool",
    ],
    "Why does my max pool change after ONNX optimization": [
        "onnx optimization changes max pool values",
        "pad folded into max pool onnx optimizer",
    ],
    "Boxes, masks or keypoints of my converted model": [
        "boxes of converted model shifted by a constant",
        "keypoints shifted after converting model by how many pixels",
    ],
    "Which input size makes the padding irrelevant": [
        "input size at which padding is irrelevant",
        "which size makes same and symmetric padding irrelevant",
    ],
    "How much accuracy does wrong padding cost": [
        "accuracy lost by wrong padding",
        "cost of wrong padding in accuracy points imagenet",
    ],
    "My ported detector is confident": [
        "ported detector boxes off scores fine",
        "detector confident but boxes are off",
    ],
    "Does MediaPipe use SAME padding": [
        "mediapipe same padding",
        "mediapipe tflite models padding",
    ],
    "Which padding does my .onnx": [
        "which padding does my onnx file use",
        "padding of a tflite or keras file",
    ],
    "Can I audit a .pt": [
        "audit a pt file",
        "audit pth or h5 model file",
    ],
    'The audit says "equal where': [
        "what is n in equal where (n - 1) mod 2 = 0",
        "audit says equal where n mod 2",
    ],
    "What is the difference between SAME and VALID": [
        "same vs valid padding",
        "valid or same, what do they do",
    ],
    'How many zeros does padding="same" add': [
        "formula for same padding amount and output size",
        "calculate number of zeros same padding adds",
    ],
    "On which side does TensorFlow put the extra zero": [
        "why does tensorflow pad bottom right",
        "odd padding goes to which side tensorflow",
    ],
    'Does padding="same" keep the size': [
        "padding same with strides 2 output is not same size as input",
        "same padding stride 2 keep the input size",
    ],
    'Does padding="same" pad evenly': [
        "keras docs say padding evenly left/right up/down",
        "is keras same padding symmetric evenly on both sides",
    ],
    "What padding does a 3×3 convolution with stride 2 get": [
        "224x224 3x3 stride 2 same padding values",
        "padding for 3x3 conv stride 2 on 224 image",
    ],
    'Why does padding="valid" never read the last row': [
        "valid convolution ignores last column of pixels",
        "last row and column of image dropped by valid padding",
    ],
    "Do channels, filters or groups change": [
        "does number of filters affect padding",
        "grouped convolution padding depends on channels?",
    ],
    "How does dilation (atrous convolution) change": [
        "same padding with dilation rate",
        "atrous convolution padding size",
    ],
    'What is the equivalent of padding="same" in PyTorch': [
        "padding same equivalent in pytorch",
        "pytorch version of keras padding='same'",
    ],
    "ValueError: padding='same' is not supported for strided": [
        "padding='same' is not supported for strided convolutions",
        "pytorch same padding stride 2 error not supported",
    ],
    "Same weights in Keras and PyTorch": [
        "same weights keras pytorch stride 2 different output",
        "why do keras and pytorch give different results with identical weights when strided",
    ],
    "Is a 5×5 tf.nn.conv2d SAME equivalent": [
        "tf conv2d 5x5 same vs nn.Conv2d padding=2",
        "kernel 5 same tensorflow is padding 2 in pytorch?",
    ],
    "My converted model is right at 225": [
        "model correct at 225 but wrong at 224",
        "ported network works for 225 input not for 224",
    ],
    "The output shapes are equal, so why": [
        "same output shape but different values",
        "shapes match but values differ after port",
    ],
    "Does wrong padding only matter at the border": [
        "is padding difference just a border effect",
        "only border pixels affected by padding?",
    ],
    "How do I convert a whole PyTorch model": [
        "use same padding for all layers of a pytorch model",
        "convert entire pytorch model to tensorflow same padding",
    ],
    "How do I get PyTorch's padding=1 in Keras": [
        "pytorch padding=1 equivalent in keras",
        "keras layer with padding=1 like pytorch",
    ],
    "AttributeError: 'int' object has no attribute 'lower'": [
        "'int' object has no attribute 'lower' keras Conv2D",
        "keras conv2d padding=1 attributeerror lower",
    ],
    "Conv2dSame, SamePadConv2d, Conv2dStaticSamePadding": [
        "do I need Conv2dStaticSamePadding in EfficientNet",
        "is Conv2dSame needed for 224",
    ],
    "Which of the Conv2dSame snippets": [
        "correct Conv2dSame implementation snippet",
        "which pytorch same padding workaround from github issue 3867 is right",
    ],
    "ZeroPad2d((0, 1, 0, 1)) works at 224": [
        "nn.ZeroPad2d((0,1,0,1)) fails at odd size 225",
        "zeropad2d 0 1 0 1 wrong for other input size",
    ],
    "In which order does F.pad": [
        "F.pad argument order left right top bottom",
        "torch.nn.functional.pad order of sides",
    ],
    "UserWarning: Using padding='same' with even kernel": [
        "even kernel lengths and odd dilation warning pytorch",
        "UserWarning zero-padded copy of the input be created",
    ],
    "How do I pad only one side": [
        "asymmetric padding nn.Conv2d",
        "conv2d() received an invalid combination of arguments padding",
    ],
    "Why does keras.applications put ZeroPadding2D": [
        "ZeroPadding2D in keras ResNet50 MobileNet why",
        "why zeropadding2d before strided conv in keras.applications efficientnet",
    ],
    'Can I replace ZeroPadding2D and "valid"': [
        "replace ZeroPadding2D + valid with same",
        "merge ZeroPadding2D into conv padding same",
    ],
    'How do I get nn.Conv2d(padding_mode="reflect")': [
        "reflect padding keras conv",
        "padding_mode reflect pytorch to keras",
    ],
    'What does max pooling with padding="same" pad with': [
        "MaxPooling2D same pads with zero or -inf",
        "value used for padding in max pool same",
    ],
    "Is the padding counted in average pooling": [
        "count_include_pad tensorflow average pool",
        "does AveragePooling2D same include zeros in the mean",
    ],
    'Is ceil_mode=True the same as "same"': [
        "ceil_mode equivalent to same padding maxpool",
        "pytorch pool ceil_mode=True vs tensorflow same",
    ],
    "RuntimeError: pad should be at most half": [
        "pad should be at most half of effective kernel size",
        "pad should be smaller than half of kernel size max pool",
    ],
    "How do I convert nn.MaxPool2d(3, stride=2, padding=1)": [
        "MaxPool2d kernel 3 stride 2 padding 1 in keras",
        "resnet maxpool port pytorch to keras padding=1",
    ],
    "PyTorch to ONNX to TensorFlow: the max pool": [
        "max pool different numbers after onnx conversion",
        "onnx tensorflow maxpool results differ from pytorch",
    ],
    "Are MaxPool2dDynamicSamePadding and AvgPool2dSame": [
        "timm AvgPool2dSame correct?",
        "efficientnet-pytorch MaxPool2dDynamicSamePadding zeros",
    ],
    "How do I get the argmax indices": [
        "max_pool_with_argmax pytorch return_indices",
        "argmax index of max pooling tensorflow vs pytorch",
    ],
    'Conv2DTranspose "same" and ConvTranspose2d': [
        "Conv2DTranspose same ConvTranspose2d shifted output",
        "transposed convolution shifted image keras pytorch",
        "deconvolution output offset by one pixel after porting",
    ],
    "Which padding and output_padding of ConvTranspose2d": [
        "ConvTranspose2d padding output_padding for Conv2DTranspose same",
        "output_padding value to match keras Conv2DTranspose",
    ],
    "How do I port Conv2DTranspose with kernel 3": [
        "port Conv2DTranspose kernel 3 stride 2",
        "keras Conv2DTranspose 3x3 strides 2 same in pytorch",
    ],
    "What does output_padding mean": [
        "output_padding keras vs pytorch",
        "meaning of output_padding",
    ],
    "RuntimeError: negative output_padding": [
        "negative output_padding is not supported",
        "output_padding=-1 error",
    ],
    "RuntimeError: output padding must be smaller": [
        "output padding must be smaller than either stride or dilation,"
        " but got output_padding_height: 2",
        "output_padding smaller than stride error",
    ],
    "TypeError: conv_transpose2d(): argument 'padding'": [
        "argument 'padding' (position 5) must be tuple of ints, but found element of type str",
        "nn.ConvTranspose2d padding='same'",
    ],
    "ValueError: A `Concatenate` layer requires inputs": [
        "A `Concatenate` layer requires inputs with matching shapes except for the"
        " concatenation axis. Received: input_shape=[(None, 88, 88, 128), (None, 89, 89, 128)]",
        "keras unet concatenate shape mismatch odd input",
    ],
    "RuntimeError: Sizes of tensors must match": [
        "Sizes of tensors must match except in dimension 1. Expected size 45 but got size 44",
        "torch.cat unet skip connection size mismatch",
    ],
    "Why does the output of my autoencoder drift": [
        "autoencoder reconstruction shifted up left",
        "decoder output drifts several pixels",
    ],
    "Is SAME different for Conv1D, Conv3D": [
        "same padding in 1d and 3d convolution",
        "Conv1D same padding depthwise",
    ],
    "ValueError: `strides > 1` not supported": [
        "strides > 1 not supported in conjunction with dilation_rate > 1",
        "keras stride and dilation together not supported",
    ],
    "tf.nn.depthwise_conv2d with strides": [
        "depthwise_conv2d dilations strides wrong output",
        "depthwise convolution with stride and dilation incorrect tensorflow",
    ],
    "Conv3D or MaxPooling3D reads other cells": [
        "Conv3D same different from Conv2D stride larger than kernel",
        "max_pool3d same padding reads wrong cells cpu",
    ],
    "How do I do causal padding in PyTorch": [
        "causal conv1d pytorch",
        "padding='causal' pytorch equivalent",
    ],
    "EEGNet's (1, 64) kernel": [
        "even kernel 64 same padding pytorch EEGNet",
        "eegnet kernel (1, 64) padding (0, 32)",
    ],
    "Is there an AdaptiveAvgPool2d in Keras": [
        "adaptive average pooling keras",
        "nn.AdaptiveAvgPool2d equivalent keras",
    ],
    "Dilation not supported for AutoPadType": [
        "Dilation not supported for AutoPadType SAME_UPPER",
        "onnxruntime dilated conv auto_pad error",
    ],
    "What is the difference between SAME_UPPER and": [
        "SAME_UPPER vs SAME_LOWER",
        "onnx auto_pad same upper lower meaning",
    ],
    "Is PyTorch's padding=1 with stride 2": [
        "padding=1 stride 2 equals SAME_LOWER",
        "is pytorch symmetric padding SAME_LOWER",
    ],
    "Why does onnx2keras add extra ZeroPadding2D": [
        "onnx2keras extra ZeroPadding2D layers",
        "converted keras model has extra padding layers",
    ],
    "The converted model's output is smaller": [
        "auto_pad ignored converter output smaller",
        "onnx2keras output shape smaller than pytorch auto_pad",
    ],
    "Accuracy dropped after converting": [
        "accuracy drop after converting model padding",
        "lower accuracy after conversion from pytorch to keras",
    ],
    "How do I test that the padding": [
        "test padding of a port",
        "how to verify padding of converted model",
    ],
    "Why does my quantised max pool return only zeros or NaN": [
        "tflite int8 max pooling output all zeros",
        "onnxruntime quantize_static NaN after MaxPool",
    ],
    "Does zero padding lose accuracy in int8": [
        "is padding with 0 or the zero point right for quantised conv",
        "ZeroPadding2D then valid vs same in int8",
    ],
    "Which number can I pad with instead of −∞ before quantisation": [
        "pad value for max pool int8 instead of -inf",
        "PADV2 INT16 != FLOAT32 failed to prepare",
    ],
    "Is Conv2dSame slower": [
        "how much does SAME padding cost in PyTorch",
        "does use_same_padding slow my model down",
    ],
    "Should I pad with F.pad, or crop": [
        "faster way than F.pad before conv",
        "why is ZeroPad2d before a convolution slow",
    ],
    "Does asymmetric padding cost anything": [
        "are uneven pads slower in onnx",
        "Pad node before Conv speed",
    ],
    "Why are there extra PAD operations": [
        "PAD op in tflite model",
        "litert extra pad operator",
    ],
    "How do I export SAME padding to ONNX": [
        "onnx export same padding dynamic shape",
        "dynamic axes onnx export with tensorflow same padding",
    ],
    "torch.compile gives a wrong shape": [
        "torch.compile wrong output shape dynamic padding",
        "inductor freezes padding of convolution",
    ],
}

# What else people type, and where it may lead: the beginning of an address.
CHAPTERS = {path.stem[:2]: f"notebooks/{path.stem}" for path in chapters()}
QUERIES = {
    "224": ["03", "04"],
    "225": ["03", "04"],
    "5x5 6x6 keras example": ["02"],
    "deconvolution": ["09", "book/cheat-sheet.html#transposed", "book/glossary"],
    "transposed convolution crop": ["09"],
    "deconv output size": ["09", QUESTIONS],
    "count_include_pad": ["08", "book/glossary"],
    "include pad average": ["08", QUESTIONS],
    "ceil mode": ["08"],
    "pooling negative values zeros": ["08", QUESTIONS],
    "zero padding max pool wrong": ["08", "07", QUESTIONS],
    "SAME_LOWER": ["10", "03", "book/glossary"],
    "ConvLSTM": ["book/names.html#convlstm2d"],
    "extract_patches unfold": ["book/names.html#extract-patches"],
    "SegNet unpooling": ["book/names.html#unpooling"],
    "MaxUnpool2d": ["book/names.html"],
    "U-Net": ["book/names.html#u-net"],
    "wavenet": ["book/names.html"],
    "BlurPool": ["book/names.html"],
    "correct_pad": ["book/names.html"],
    "LazyConv2d": ["book/names.html"],
    "locally connected": ["book/names.html"],
    "haiku": ["book/names.html"],
    "ncnn": ["book/names.html", "13"],
    "core ml": ["book/names.html"],
    "flax conv": ["book/names.html"],
    "dilation2d": ["book/names.html#dilation2d"],
    "use_same_padding": ["05", QUESTIONS],
    "same_padding": ["01"],
    "symmetric_equals_same": ["03"],
    "fold_zero_padding": ["06"],
    "tflite": ["06", QUESTIONS],
    "litert": ["06", QUESTIONS],
    "grid shift one pixel": ["04"],
    "receptive field": ["book/glossary"],
    "effective kernel size": ["01", "book/glossary"],
    "resnet-18 onnx2keras": ["07"],
    "mobilenet zero padding": ["06", QUESTIONS],
    "timm pad_same": ["05", QUESTIONS],
    "torch.onnx export pads": ["05", QUESTIONS],
    "jax lax conv same": ["book/cheat-sheet.html", "book/names.html"],
    "conv_transpose2d_same": ["09", "book/questions"],
    "max_pool2d_same": ["08"],
    "notes on padding documentation": ["book/references", "01"],
    "test vectors ten cases": ["book/test-your-port.html"],
    "pytroch export": ["05", QUESTIONS],
    "transpoed convoluton": [
        "09",
        "book/cheat-sheet.html#transposed",
        "book/glossary",
        QUESTIONS,
    ],
    "symetric": ["03", "book/glossary", QUESTIONS],
}


@cache
def questions():
    """Return [(heading, its address, the addresses its answer leads to)] of book/questions.md."""
    page = BeautifulSoup((SITE[0] / QUESTIONS).read_text("utf-8"), "html.parser")
    found = []
    for heading in page.select("section > h3"):
        heading.find(class_="headerlink").decompose()
        text = heading.get_text().translate({0x2019: "'", 0x201C: '"', 0x201D: '"'})
        own = f"{QUESTIONS}#{heading.parent['id']}"
        links = [link["href"] for link in heading.parent.select("p a[href]")]
        proofs = {urljoin(own, link) for link in links}
        assert any("#" in proof for proof in proofs), f"nothing proves {text!r}"
        found.append((text, own, proofs))
    return found


SITE = []


@pytest.fixture(scope="module")
def page(known, chromium, address):
    """The search page with the search loaded, and the site's folder for `questions`."""
    SITE[:] = [known]
    tab = chromium.new_page()
    tab.goto(f"{address}search.html?q=padding")
    tab.wait_for_function("() => window.bookSearch")
    yield tab
    tab.close()


def asked(page, queries):
    """Return the addresses of the first three sections that each query finds."""
    return page.evaluate(
        "(all) => all.map((q) => bookSearch.find(q).slice(0, 3).map((r) => r.address))",
        queries,
    )


def test_every_question_is_found_in_its_own_words_and_in_others(page):
    """Its own section is among the first three; in other words that, or one that proves it."""
    found, queries = questions(), []
    assert len(found) >= 40
    for heading, own, proofs in found:
        (key,) = [key for key in REWORDINGS if heading.startswith(key)] or [None]
        assert key, f"no rewordings of {heading!r}"
        assert len(REWORDINGS[key]) >= 2
        queries.append((heading, {own}))
        queries += [(query, {own} | proofs) for query in REWORDINGS[key]]
    assert len(REWORDINGS) == len(found)
    results = asked(page, [query for query, _ in queries])
    missed = [
        f"{query!r}: {tops}, not {sorted(places)}"
        for (query, places), tops in zip(queries, results, strict=True)
        if not places & set(tops)
    ]
    assert not missed, f"{len(missed)} of {len(queries)}\n" + "\n".join(missed)


def test_what_people_type_leads_to_the_page_that_answers(page):
    """Names, numbers, misspellings, synonyms: one of the right places among the first three."""
    results = asked(page, list(QUERIES))
    missed = []
    for (query, places), tops in zip(QUERIES.items(), results, strict=True):
        places = [CHAPTERS.get(place, place) for place in places]
        if not any(top.startswith(tuple(places)) for top in tops):
            missed.append(f"{query!r}: {tops}, not {places}")
    assert not missed, f"{len(missed)} of {len(QUERIES)}\n" + "\n".join(missed)


def test_the_two_ways_to_take_a_text_apart_agree(page, known):
    """`terms` here and in search.js, on every line of the book and every query."""
    lines = sorted(set((known / "llms.txt").read_text(encoding="utf-8").splitlines()))
    lines += [*QUERIES, *sum(REWORDINGS.values(), [])]
    assert page.evaluate("(all) => all.map(bookSearch.terms)", lines) == [
        terms(line) for line in lines
    ]


def test_names_split_as_well_as_whole():
    """At capitals, digits and underscores; no synonym stands for another line's word."""
    assert split_name("Conv2DTranspose") == [
        "Conv2DTranspose",
        "Conv",
        "2D",
        "Transpose",
    ]
    assert split_name("AutoPadType") == ["AutoPadType", "Auto", "Pad", "Type"]
    assert split_name("ConvLSTM2D") == ["ConvLSTM2D", "Conv", "LSTM", "2D"]
    assert terms("count_include_pad")[:2] == ["count_include_pad", "count"]
    assert terms("224×224") == ["224", "224"] and terms("TFLite")[0] == "tflite"
    assert "litert" in terms("TFLite") and "transposed" in terms("deconvolution")
    assert all(SYNONYM[first] == first for first in set(SYNONYM.values()))


def index(site):
    """Return the index that the site carries."""
    text = (site / "_static" / "search" / "index.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.bookIndex=").rstrip(";\n"))


def test_every_section_of_the_index_is_there(known):
    """Each address is an element of a page, and none begins with what a page says of itself."""
    pages, sections = {}, index(known)["sections"]
    for address, title, _, sentences, _ in sections:
        name, _, anchor = address.partition("#")
        if name not in pages:
            soup = BeautifulSoup((known / name).read_text("utf-8"), "html.parser")
            pages[name] = {element["id"] for element in soup.select("[id]")}
        assert title and (not anchor or anchor in pages[name]), address
        assert not re.match(
            r"Chapter \d+\W*\d+ min|\d+ minutes", " ".join(sentences)
        ), address
    assert len(pages) >= 15 and len(sections) > 150


def test_the_index_is_light_and_sphinxs_is_gone(known):
    """Sphinx's index and scripts are not built; the library keeps its licence."""
    for name in (
        "searchindex.js",
        "_static/searchtools.js",
        "_static/language_data.js",
    ):
        assert not (known / name).exists()
    files = sorted((known / "_static" / "search").iterdir())
    assert [file.name for file in files] == ["index.js", "lunr.js", "search.js"]
    weight = sum(len(gzip.compress(file.read_bytes())) for file in files)
    assert weight <= BUDGET, weight
    assert "@license MIT" in files[1].read_text(encoding="utf-8")[:300]


def test_search_from_a_file_by_keyboard(known, chromium):
    """Ctrl+K, a question, arrow keys, Enter; nothing is loaded before, nothing from outside."""
    tab, requests = chromium.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto((known / f"{CHAPTERS['08']}.html").as_uri())
    assert not [url for url in requests if "/search/" in url or "searchindex" in url]
    tab.keyboard.press("Control+K")
    tab.keyboard.type("PyTorch pads both sides, ConvTranspose2d shifted")
    first = tab.locator("dialog .search-results a").first
    first.wait_for()
    assert "sections" in tab.get_by_role("status").inner_text()
    assert 1 <= tab.locator("dialog .search-results li").count() <= 8
    assert tab.locator("dialog mark", has_text="ConvTranspose2d").count()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.className") == "search-title"
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("document.activeElement.name") == "q"
    tab.keyboard.press("ArrowDown")
    wanted = first.evaluate("(link) => link.href")
    tab.keyboard.press("Enter")
    tab.wait_for_url(wanted)
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
    tab.close()


def test_the_search_page(chromium, address):
    """A question in the address, a new one typed, nonsense, markup: each is answered in words."""
    tab, errors = chromium.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(f"{address}search.html", wait_until="networkidle")
    assert not tab.evaluate("window.lunr")  # nobody asked anything yet
    tab.keyboard.type("zeros")  # the field has the focus
    tab.locator(".bd-search-container .search-results li").first.wait_for()
    tab.goto(f"{address}search.html?q=tensorflow+dilation")
    tab.locator(".bd-search-container .search-results li").nth(4).wait_for()
    field = tab.locator(".bd-search-container input")
    assert field.input_value() == "tensorflow dilation"
    assert tab.locator(".search-sentence mark", has_text="dilation").count()
    field.fill("zeros that win a maximum")
    tab.locator(".search-results a", has_text="Padding never wins").first.wait_for()
    assert tab.url.endswith("?q=zeros+that+win+a+maximum")
    for text in (
        "<img src=x onerror=alert(1)>",
        "+-~^*:",
        "__proto__ constructor",
        "q" * 999,
    ):
        field.fill(text)
        tab.wait_for_timeout(20)
        assert tab.locator(".search-results img").count() == 0
    field.fill("xyzzyqqq")
    assert (
        tab.locator(".bd-search-container .search-count").inner_text()
        == "Nothing found"
    )
    field.fill("the")
    field.fill("")
    assert tab.locator(".bd-search-container .search-results li").count() == 0
    assert not errors
    tab.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_on_what_was_found(chromium, address, theme):
    """On the search page, and in the dialog over a page; at 320 px nothing scrolls sideways."""
    context = chromium.new_context(
        color_scheme=theme, reduced_motion="reduce", viewport=TALL
    )
    tab = context.new_page()
    tab.goto(f"{address}search.html?q=ceil_mode")
    tab.locator(".search-results li").nth(3).wait_for()
    assert axe_objections(tab) == []
    tab.goto(f"{address}{QUESTIONS}")
    tab.keyboard.press("Control+K")
    tab.keyboard.type("UserWarning: Using padding='same' with even kernel lengths")
    tab.locator("dialog .search-results li").nth(3).wait_for()
    # The same colours; axe cannot judge them over what the dialog covers.
    assert axe_objections(tab, "structure") == []
    tab.set_viewport_size({"width": 320, "height": 640})
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog = tab.locator("dialog[open]")
    assert dialog.evaluate("(d) => d.scrollWidth <= d.clientWidth")
    context.close()
