// Says so when the server does not answer: what is on the page then grows old without a sign of it.
export default {
  template: `
    <div aria-live="assertive">
      <p v-if="since" class="fresh lost">
        <b><i aria-hidden="true">✖</i> the server does not answer</b>{{ " " }}
        <span class="soft">since {{ since }} UTC; what is shown is of before, and it is asked again and again</span>
      </p>
    </div>
  `,
  data: () => ({ since: "" }),
  mounted() {
    // The socket is made when all components are there.
    this.$nextTick(() => {
      window.socket?.on("disconnect", () => this.say(new Date().toISOString().slice(11, 19)));
      window.socket?.on("connect", () => this.say(""));
    });
  },
  methods: {
    say(since) {
      this.since = since;
      document.body.classList.toggle("lost", since !== "");
    },
  },
};
