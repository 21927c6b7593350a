// Marks lines of a CodeMirror. Its own decorations come with the text as the server last saw it, which would take back
// what was typed meanwhile; these go to the editor alone.
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

export default {
  template: `<div hidden></div>`,
  methods: {
    async mark(id, lines) {
      const CM = await import("nicegui-codemirror");
      const held = getElement(id);
      if (!held) return;
      await held.editorPromise;
      const editor = Vue.toRaw(held.editor);
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
