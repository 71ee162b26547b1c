// How bots play that this page asks for.

export const SKILLS = [
  { value: "novice", text: "Novice" },
  { value: "fair", text: "Fair" },
  { value: "good", text: "Good" },
  { value: "sharp", text: "Sharp" },
  { value: "taught", text: "Taught" },
] as const;
