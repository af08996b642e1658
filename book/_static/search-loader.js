// The search is loaded when somebody first goes to a search field, or arrives with a question.
{
  const begin = ({ target }) => {
    if (!target.closest("form.bd-search") || document.getElementById("search-script")) return;
    const root = document.documentElement.dataset.content_root;
    for (const name of ["lunr", "index", "search"]) {
      const script = document.createElement("script");
      script.src = `${root}_static/search/${name}.js`;
      script.async = false; // in this order
      if (name === "search") script.id = "search-script";
      document.head.append(script);
    }
  };
  addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector(".bd-search-container form.bd-search input");
    if (field) {
      field.value = new URLSearchParams(location.search).get("q") ?? "";
      field.focus();
      if (field.value) begin({ target: field });
    }
    addEventListener("focusin", begin);
    addEventListener("input", begin);
  });
}
