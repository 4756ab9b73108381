"use strict";
// Shows the findings whose severity is ticked and whose text has all words of the search field; a rule without any is hidden.
(() => {
  const words = document.getElementById("search"), told = document.getElementById("shown");
  const boxes = [...document.querySelectorAll(".filter input[type=checkbox]")];
  const rules = [...document.querySelectorAll(".rule")];
  function apply() {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const parts = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const rule of rules) {
      const head = rule.querySelector("summary").textContent.toLowerCase();
      let any = false;
      for (const row of rule.querySelectorAll("tr[data-severity]")) {
        const text = head + " " + row.textContent.toLowerCase();
        const shown = wanted.has(row.dataset.severity) && parts.every((part) => text.includes(part));
        row.hidden = !shown;
        any = any || shown;
        count += shown ? 1 : 0;
      }
      rule.hidden = !any;
    }
    told.textContent = count + (count === 1 ? " finding" : " findings") + " shown";
  }
  for (const input of [words, ...boxes]) input.addEventListener("input", apply);
  apply();
})();
