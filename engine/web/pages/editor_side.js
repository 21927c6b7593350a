// Beside a CodeMirror: marks at its lines, and what was typed and not saved, which this tab keeps until it is.
// The editor's own decorations come with the text as the server last saw it, which would take back what was typed
// meanwhile; these go to the editor alone.
const effects = new WeakMap();

function effectOf(CM, editor) {
  if (!effects.has(editor)) {
    const effect = CM.StateEffect.define();
    const field = CM.StateField.define({
      create: () => CM.Decoration.none,
      update(set, transaction) {
        set = set.map(transaction.changes);
        for (const each of transaction.effects) if (each.is(effect)) set = CM.Decoration.set(each.value, true);
        return set;
      },
      provide: (held) => CM.EditorView.decorations.from(held),
    });
    editor.dispatch({ effects: CM.StateEffect.appendConfig.of(field) });
    effects.set(editor, effect);
  }
  return effects.get(editor);
}

async function editorOf(id) {
  const held = getElement(id);
  if (!held) return null;
  await held.editorPromise;
  return Vue.toRaw(held.editor);
}

export default {
  template: `<div hidden></div>`,
  emits: ["found"],
  methods: {
    async begin(id, name, before, line) {
      const CM = await import("nicegui-codemirror");
      const editor = await editorOf(id);
      if (!editor) return;
      this.key = `sluice-typed ${name}`;
      this.before = before;
      this.keep = (text) =>
        text === this.before
          ? sessionStorage.removeItem(this.key)
          : sessionStorage.setItem(this.key, JSON.stringify({ text, before: this.before }));
      this.editor = editor;
      const typed = CM.EditorView.updateListener.of((update) => {
        if (update.docChanged) this.keep(update.state.doc.toString());
      });
      const kept = JSON.parse(sessionStorage.getItem(this.key) ?? "null");
      const named = CM.EditorView.contentAttributes.of({ "aria-label": name });
      editor.dispatch({ effects: CM.StateEffect.appendConfig.of([typed, named]) });
      if (kept !== null && editor.state.doc.toString() === before) {
        this.before = kept.before;
        editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: kept.text } });
        this.$emit("found", kept.before);
      }
      if (line !== null && line >= 1 && line <= editor.state.doc.lines) {
        const { from } = editor.state.doc.line(line);
        editor.dispatch({ selection: { anchor: from }, effects: CM.EditorView.scrollIntoView(from, { y: "center" }) });
      }
    },
    based(before) {
      this.before = before;
      if (this.editor) this.keep(this.editor.state.doc.toString());
    },
    // What is shown, and what was on disk where that edit began; null before the editor is there.
    held() {
      return this.editor ? { text: this.editor.state.doc.toString(), before: this.before } : null;
    },
    // Show another text, where `shown` is shown or is null; says whether. The server hears of it as of what is typed:
    // a text that came from there would cross with keys that are pressed, and both sides would show different ones.
    take(text, shown) {
      if (!this.editor) return null;
      const doc = this.editor.state.doc;
      if (shown !== null && doc.toString() !== shown) return false;
      this.before = text;
      this.editor.dispatch({ changes: { from: 0, to: doc.length, insert: text } });
      this.based(text);
      return true;
    },
    async mark(id, lines) {
      const CM = await import("nicegui-codemirror");
      const editor = await editorOf(id);
      if (!editor) return;
      const effect = effectOf(CM, editor);
      const text = editor.state.doc;
      const made = lines
        .filter((each) => each.line <= text.lines)
        .map((each) =>
          CM.Decoration.line({ class: each.kind, attributes: { title: each.says } }).range(text.line(each.line).from),
        );
      editor.dispatch({ effects: effect.of(made) });
    },
  },
};
