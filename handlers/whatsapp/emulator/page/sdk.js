// Plays Meta's JavaScript SDK, as far as Embedded Signup goes: FB.init and FB.login, whose window is ours (`signup.html`).
"use strict";

(() => {
  const here = new URL(document.currentScript.src).origin;
  let app = "";

  window.FB = {
    init(options) {
      if (!options?.appId || !/^v\d+\.\d+$/.test(options.version)) throw new Error("init not called with valid version");
      app = options.appId;
    },

    login(callback, options = {}) {
      if (!app) throw new Error("FB.login() called before FB.init().");
      const query = new URLSearchParams({
        app_id: app,
        config_id: options.config_id ?? "",
        response_type: options.response_type ?? "",
        override: options.override_default_response_type === true,
        extras: JSON.stringify(options.extras ?? {}),
        origin: location.origin,
      });
      const popup = window.open(`${here}/signup?${query}`, "_blank", "popup,width=480,height=720");
      if (!popup) return;
      let code = "";
      const heard = (event) => {
        // What Meta's own window tells its SDK, and no page. A window that has closed meanwhile is no source any more.
        const ours = event.origin === here && (event.source === popup || event.source === null);
        if (ours && event.data?.type === "EMULATOR_CODE") code = event.data.code;
      };
      window.addEventListener("message", heard);
      const watch = setInterval(() => {
        if (!popup.closed) return;
        clearInterval(watch);
        // Its last words may still be on their way.
        setTimeout(ended, 300);
      }, 100);
      const ended = () => {
        window.removeEventListener("message", heard);
        callback(code ? { authResponse: { code, userID: null, expiresIn: null }, status: "connected" } : { authResponse: null, status: "unknown" });
      };
    },
  };

  if (typeof window.fbAsyncInit === "function") window.fbAsyncInit();
})();
