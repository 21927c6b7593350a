// HTML that the server keeps up to date: parts are replaced by their ids, rows are put before those that are there.
// Links that have the focus and what was folded out stay so.
export default {
  template: `<div></div>`,
  props: { start: String },
  mounted() {
    this.$el.innerHTML = this.start;
  },
  methods: {
    put(parts) {
      for (const [id, html] of Object.entries(parts)) {
        const old = this.part(id);
        if (!old) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement : null;
        const link = focused && focused.getAttribute("href");
        const folded = [...old.querySelectorAll("details[open][id]")].map((each) => each.id);
        const made = this.made(html);
        const fresh = made.firstElementChild;
        old.replaceWith(made);
        for (const each of folded) fresh?.querySelector(`#${CSS.escape(each)}`)?.setAttribute("open", "");
        if (link) [...(fresh?.querySelectorAll("[href]") ?? [])].find((a) => a.getAttribute("href") === link)?.focus();
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
    made(html) {
      const template = document.createElement("template");
      template.innerHTML = html;
      return template.content;
    },
  },
};
