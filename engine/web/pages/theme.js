// Light, dark, or as the machine is set; remembered in this browser.
const NAMES = ["auto", "light", "dark"];
export default {
  template: `<button type="button" class="theme" @click="turn" :aria-label="'theme: ' + name + ', change'">{{ sign }}<span>{{ name }}</span></button>`,
  data: () => ({ name: "auto" }),
  computed: {
    sign() {
      return { auto: "◐", light: "☀", dark: "☾" }[this.name];
    },
  },
  emits: ["dark"],
  mounted() {
    document.getElementById("first")?.remove();
    const told = () => this.$emit("dark", document.body.classList.contains("body--dark"));
    new MutationObserver(told).observe(document.body, { attributeFilter: ["class"] });
    const kept = localStorage.getItem("sluice-theme");
    if (NAMES.includes(kept)) this.name = kept;
    this.apply();
  },
  methods: {
    turn() {
      this.name = NAMES[(NAMES.indexOf(this.name) + 1) % NAMES.length];
      localStorage.setItem("sluice-theme", this.name);
      this.apply();
    },
    apply() {
      Quasar.Dark.set(this.name === "auto" ? "auto" : this.name === "dark");
    },
  },
};
