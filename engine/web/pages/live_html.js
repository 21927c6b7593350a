// HTML that the server keeps up to date: parts are replaced by their ids, rows are put before those that are there.
// What somebody folded out or in stays so, and what has the focus keeps it.
export default {
  template: `<div></div>`,
  props: { start: String },
  mounted() {
    this.$el.append(this.made(this.start));
  },
  methods: {
    put(parts) {
      for (const [id, html] of Object.entries(parts)) {
        const old = this.part(id);
        if (!old) continue;
        const find = old.contains(document.activeElement) ? this.finder(document.activeElement) : () => null;
        const turned = [...old.querySelectorAll("details[id]")].filter((each) => each.open !== ("open" in each.dataset));
        const made = this.made(html);
        const fresh = made.firstElementChild;
        old.replaceWith(made);
        for (const { id, open } of turned) {
          const same = fresh?.querySelector(`#${CSS.escape(id)}`);
          if (same) same.open = open;
        }
        find(fresh)?.focus();
      }
    },
    before(into, html, most) {
      const held = this.part(into);
      if (!held) return;
      held.prepend(this.made(html));
      while (held.childElementCount > most) held.lastElementChild.remove();
    },
    part(id) {
      return this.$el.querySelector(`#${CSS.escape(id)}`);
    },
    // How to find again what has the focus: a link by where it leads, a summary by what it folds.
    finder(focused) {
      const href = focused.getAttribute("href");
      if (href !== null) return (fresh) => [...(fresh?.querySelectorAll("[href]") ?? [])].find((a) => a.getAttribute("href") === href);
      const folds = focused.tagName === "SUMMARY" && focused.parentElement.id;
      return (fresh) => (folds ? fresh?.querySelector(`#${CSS.escape(folds)} > summary`) : null);
    },
    made(html) {
      const template = document.createElement("template");
      template.innerHTML = html;
      for (const each of template.content.querySelectorAll("details[open]")) each.dataset.open = "";
      return template.content;
    },
  },
};
