// How bots play that this page asks for.

import { t } from "../text/words";

export const SKILLS = [
  { value: "novice", get text() {
   return t("skills.novice");
 } },
  { value: "fair", get text() {
   return t("skills.fair");
 } },
  { value: "good", get text() {
   return t("skills.good");
 } },
  { value: "sharp", get text() {
   return t("skills.sharp");
 } },
  { value: "taught", get text() {
   return t("skills.taught");
 } },
] as const;
