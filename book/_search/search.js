// The book's search: lunr.js ranks the sections of index.js; this asks it and shows what it found.
(() => {
  "use strict";
  const { index, sections, synonyms } = window.bookIndex;
  // lunr's inverted index: which fields of which sections have a term.
  const postings = index.terms.map(([term, _index]) =>
    [term, { _index, ...Object.fromEntries(index.fields.map((field) => [field, {}])) }]);
  const numbered = [];
  for (const posting of postings) numbered[posting[1]._index] = posting[1];
  for (const [place, vector] of index.fieldVectors) {
    const [field, section] = place.split("/");
    for (let i = 0; i < vector.length; i += 2) numbered[vector[i]][field][section] = {};
  }
  const lunrIndex = lunr.Index.load({ ...index, invertedIndex: postings });
  const known = lunrIndex.invertedIndex;
  const stem = (term) => lunr.stemmer(new lunr.Token(term, {})).toString();

  // As `terms` in book/_ext/search_index.py; a test compares the two.
  const splitName = (word) => {
    const parts = word.match(/\d+[dD](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? [];
    return parts.length > 1 ? [word, ...parts] : [word];
  };
  const terms = (text) => {
    const found = [];
    for (const word of text.match(/[A-Za-z0-9_]+/g) ?? []) {
      for (const part of splitName(word.replace(/^_+|_+$/g, ""))) {
        const term = part.toLowerCase();
        if (term.length < 2 && !/\d/.test(term)) continue;
        found.push(term);
        if (Object.hasOwn(synonyms, term) && synonyms[term] !== term) found.push(synonyms[term]);
      }
    }
    return found;
  };

  const FILLERS = new Set("go goes going use used using work works working one".split(" "));

  // A known name counts most, then words, their synonyms and a name's parts, then what begins with the
  // word that is being typed, and least what is spelt almost like an unknown one.
  const find = (text) => {
    const boosts = new Map();
    for (const word of (text.match(/[A-Za-z0-9_]+/g) ?? []).slice(0, 60)) {
      const [whole, ...others] = terms(word.slice(0, 60));
      if (!whole || !lunr.stopWordFilter(whole) || FILLERS.has(whole)) continue;
      const isKnown = Object.hasOwn(known, stem(whole));
      boosts.set(whole, isKnown && splitName(word).length > 1 ? 20 : 10);
      const synonym = synonyms[whole];
      for (const term of others)
        if (!boosts.has(term)) boosts.set(term, !isKnown ? 10 : term === synonym ? 6 : 3);
    }
    if (!boosts.size) return [];
    const last = [...boosts.keys()].at(-1);
    return lunrIndex.query((query) => {
      const ask = (term, boost, options) =>
        query.term(term, { boost, usePipeline: false, ...options });
      for (const [term, boost] of boosts) {
        const root = stem(term);
        const isKnown = Object.hasOwn(known, root);
        if (isKnown) ask(root, boost, {});
        if (term.length > 2 && (!isKnown || term === last))
          ask(term, 2, { wildcard: lunr.Query.wildcard.TRAILING });
        if (!isKnown && term.length > 4 && term.length < 20)
          ask(root, 1, { editDistance: term.length > 7 ? 2 : 1 }); // slow for longer ones
      }
    }).map(({ ref, score, matchData }) => {
      const [address, title, page, sentences, code] = sections[ref];
      return { address, title, page, sentences, code, score, words: Object.keys(matchData.metadata) };
    });
  };

  // The sentence, or else the line of code, that has most of what was found.
  const rare = (root) =>
    1 / Math.log(2 + Object.keys(known[root]?.text ?? {}).length);
  const excerpt = ({ sentences, code, words }) => {
    const wanted = new Set(words);
    const weigh = (piece) => {
      const here = new Set(terms(piece).map(stem).filter((root) => wanted.has(root)));
      return [...here].reduce((sum, root) => sum + rare(root), 0);
    };
    let [best, most] = ["", 0];
    for (const [pieces, worth] of [[sentences, 1], [code, 0.5]])
      for (const piece of pieces) {
        const weight = worth * weigh(piece);
        if (weight > most) [best, most] = [piece, weight];
      }
    return best || sentences[0] || "";
  };

  const LENGTH = 240;
  const isWanted = (word, wanted) => terms(word).some((term) => wanted.has(stem(term)));
  // The text as nodes, the words that were found marked, cut to a few lines around the first.
  const marked = (text, words) => {
    const wanted = new Set(words);
    const pieces = text.split(/([A-Za-z0-9_]+)/);
    const first = pieces.findIndex((piece, i) => i % 2 && isWanted(piece, wanted));
    const before = pieces.slice(0, Math.max(first, 0)).join("").length;
    let [from, length] = [0, 0];
    if (text.length > LENGTH && before > LENGTH / 3)
      for (let skipped = 0; skipped < before - LENGTH / 3; from++) skipped += pieces[from].length;
    const nodes = from ? ["… "] : [];
    for (let i = from; i < pieces.length && length < LENGTH; i++) {
      length += pieces[i].length;
      if (i % 2 && isWanted(pieces[i], wanted)) {
        const mark = document.createElement("mark");
        mark.textContent = pieces[i];
        nodes.push(mark);
      } else nodes.push(pieces[i]);
      if (length >= LENGTH && i < pieces.length - 1) nodes.push(" …");
    }
    return nodes;
  };

  const element = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };
  const ROOT = document.documentElement.dataset.content_root;

  const item = (result) => {
    const link = element("a", "search-title", ...marked(result.title, result.words));
    link.href = ROOT + result.address;
    const line = element("li", "", link);
    if (result.page) line.append(element("span", "search-page", result.page));
    line.append(element("p", "search-sentence", ...marked(excerpt(result), result.words)));
    return line;
  };

  const attach = (form) => {
    const input = form.querySelector("input");
    const dialog = form.closest("dialog");
    const count = element("p", "search-count");
    count.setAttribute("role", "status");
    const list = element("ol", "search-results");
    const box = element("div", "search-box", count, list);
    form.after(box);

    const show = () => {
      const text = input.value.trim();
      const found = text ? find(text) : [];
      const shown = found.slice(0, dialog ? 8 : 30);
      list.replaceChildren(...shown.map(item));
      count.textContent = !text
        ? ""
        : !found.length
          ? "Nothing found"
          : found.length > shown.length
            ? `The first ${shown.length} of ${found.length} sections` +
              (dialog ? "; Enter shows more" : "")
            : `${found.length} section${found.length > 1 ? "s" : ""}`;
      if (dialog) return;
      const address = new URL(location);
      if (text) address.searchParams.set("q", text);
      else address.searchParams.delete("q");
      history.replaceState(null, "", address);
    };
    input.addEventListener("input", show);
    form.addEventListener("submit", (event) => {
      if (dialog) return;
      event.preventDefault();
      show();
    });
    // Arrow keys walk from the field through what was found, and back.
    (dialog ?? form.parentElement).addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const stops = [input, ...list.querySelectorAll("a")];
      const at = stops.indexOf(document.activeElement);
      const next = stops[at + step];
      if (at < 0 || !next) return;
      event.preventDefault();
      next.focus();
    });
    list.addEventListener("click", ({ target }) => target.closest("a") && dialog?.close());
    show();
  };

  document.querySelectorAll("form.bd-search").forEach(attach);
  window.bookSearch = { find, terms, excerpt };
})();
