// What every part of the page does with its elements.

export const $ = (id) => document.getElementById(id);

// write changes a text only where it is another: what is selected stays selected, and nothing is laid out in vain.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Rows are the children of an element, one for each entry of a list that is shown again and again. They are kept by their key, so
// that what is open, focused or selected stays so, and moved only where the order is another.
export class Rows {
  #parent;
  #key;
  #make;
  #kept = new Map();

  // make returns the row for an entry: { element, show }, where show(entry) fills it.
  constructor(parent, key, make) {
    this.#parent = parent;
    this.#key = key;
    this.#make = make;
  }

  show(list) {
    const before = this.#kept;
    this.#kept = new Map(list.map((entry) => [this.#key(entry), before.get(this.#key(entry)) ?? this.#make(entry)]));
    for (const [key, row] of before) if (!this.#kept.has(key)) row.element.remove();
    let next = this.#parent.firstChild;
    for (const entry of list) {
      const row = this.#kept.get(this.#key(entry));
      row.show(entry);
      if (row.element === next) next = next.nextSibling;
      else this.#parent.insertBefore(row.element, next);
    }
  }
}

// tableRows are the rows of a table's body. A column is [what it shows, its class]; the first one heads its row. mark returns the
// class of a row.
export function tableRows(body, key, columns, mark = () => "") {
  return new Rows(body, key, () => {
    const element = document.createElement("tr");
    const cells = columns.map(([, kind], i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.className = kind ?? "";
      return cell;
    });
    element.append(...cells);
    const show = (entry) => {
      element.className = mark(entry);
      columns.forEach(([text], i) => write(cells[i], text(entry)));
    };
    return { element, show };
  });
}
