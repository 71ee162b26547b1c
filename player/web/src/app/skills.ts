// How bots play that this page asks for.

import { computed } from "@preact/signals";
import { t } from "../text/words";

export const SKILLS = computed(() => [
  { value: "novice", text: t("skills.novice") },
  { value: "fair", text: t("skills.fair") },
  { value: "good", text: t("skills.good") },
  { value: "sharp", text: t("skills.sharp") },
  { value: "taught", text: t("skills.taught") },
] as const);
