// The browser's own slider: what has the focus is what has the role and the name.
export default {
  template: `<input type="range" class="range" :min="low" :max="high" :step="step" :value="at" :aria-label="label"
    @input="$emit('slid', Number($event.target.value))" />`,
  props: { low: Number, high: Number, step: Number, at: Number, label: String },
  emits: ["slid"],
};
