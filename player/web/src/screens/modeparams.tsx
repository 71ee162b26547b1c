// The parameters of a mode that the server brings along, as a form from their JSON Schema.

import { chooseParam, offered, wantedParams } from "../app/offered";
import { paramsIn, type ParamField } from "../session/modeparams";
import { title } from "../session/wording";
import { t } from "../text/words";
import { NumberField } from "../ui/fields";
import type { Param } from "../wire/api";

export function ParamsOf({ mode }: { mode: string }) {
  const schema = offered.value?.find((one) => one.mode === mode)?.params;
  const fields = schema ? paramsIn(schema) : [];
  if (!fields.length) return null;
  const about = typeof schema?.["description"] === "string" ? schema["description"].replaceAll("`", "") : "";
  const chosen = wantedParams.value[mode] ?? {};
  return (
    <details class="brief" data-test="params">
      <summary>{t("login.parameters-of-a-new-lobby")}</summary>
      <div class="col params">
        {about && <p class="small mute">{about}</p>}
        {fields.map((field) => (
          <Field key={field.name} field={field} value={chosen[field.name] ?? field.standard} onChoose={(value) => chooseParam(mode, field.name, value, field.standard)} />
        ))}
      </div>
    </details>
  );
}

function Field({ field, value, onChoose }: { field: ParamField; value: Param; onChoose: (value: Param) => void }) {
  const seconds = field.kind === "number" && field.name.endsWith("_s");
  const label = title(seconds ? field.name.slice(0, -2) : field.name).replaceAll("_", " ");
  const test = `param-${field.name}`;
  switch (field.kind) {
    case "number":
      return <NumberField label={label} unit={seconds ? "s" : undefined} value={Number(value)} low={field.low} high={field.high} whole={field.whole} onCommit={onChoose} test={test} />;
    case "flag":
      return (
        <label class="small soft check">
          <input type="checkbox" checked={value === true} onChange={(event) => onChoose(event.currentTarget.checked)} data-test={test} />
          {label}
        </label>
      );
    case "choice":
      return (
        <label class="row small">
          {label}
          <select class="btn s" value={String(value)} onChange={(event) => onChoose(event.currentTarget.value)} data-test={test}>
            {field.choices.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
      );
    case "text":
      return (
        <label class="row small">
          {label}
          <span class="field sp">
            <input value={String(value)} onChange={(event) => onChoose(event.currentTarget.value)} data-test={test} />
          </span>
        </label>
      );
  }
}
