"""Whether the texts of a page can be read well."""

# Texts with less contrast to what is behind them than WCAG asks of small ones.
LOW_CONTRAST = """
() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (color) =>
    color.slice(0, 3).reduce(
      (sum, v, k) => sum + linear(v / 255) * [0.2126, 0.7152, 0.0722][k], 0
    );
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const color = rgb(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const hasText = (node) =>
    [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
  const told = [...document.querySelectorAll("main *")].filter(
    (n) => !(n instanceof SVGElement) && n.checkVisibility() && hasText(n)
  );
  return told.flatMap((node) => {
    const [a, b] = [getComputedStyle(node).color, behind(node)];
    const [front, back] = [light(rgb(a)), light(b)];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    const what = `${node.className || node.tagName} ${node.textContent.slice(0, 20)}`;
    return ratio < 4.5 ? [`${what}: ${ratio.toFixed(2)}`] : [];
  });
}
"""


def hard_to_read(tab):
    """What of a `Tab` can't be read well, for its colours."""
    return sorted(set(tab.page.frames[1].evaluate(LOW_CONTRAST)))
