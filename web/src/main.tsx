/* Entry: styles, theme, the session of a cookie that is still there. */

import "@patternfly/react-core/dist/styles/base.css";
import "./app/app.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { resume } from "./api/session";
import { App } from "./app/App";
import { startTheme } from "./app/theme";
import { Boundary } from "./shared/Boundary";
import { startFocusMemory } from "./shared/useFocusBack";

startTheme();
startFocusMemory();
void resume();
const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element 'root'");
createRoot(root).render(
  <StrictMode>
    <Boundary what="The page">
      <App />
    </Boundary>
  </StrictMode>,
);
