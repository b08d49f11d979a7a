"""Whether text on a page stands out from what is behind it, measured in the browser."""

ILLEGIBLE = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (above, below) => below.map((value, each) => above[each] * above[3] / 255 + value * (1 - above[3] / 255));
  const behind = (element) => {
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 255 || !element.parentElement ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const luminance = (colour) => colour.map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, each) => sum + value * [0.2126, 0.7152, 0.0722][each], 0);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = { read: 0, illegible: [] };
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })
      || element.closest(".q-icon, .only-for-screen-readers, .skip, script, style, noscript")) continue;
    const style = getComputedStyle(element);
    const background = behind(element);
    const text = over(rgba(element instanceof SVGElement ? style.fill : style.color), background);
    const [dark, light] = [luminance(text), luminance(background)].sort((one, other) => one - other);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    found.read += 1;
    if (ratio < (isLarge ? 3 : 4.5)) found.illegible.push([texts.currentNode.data.trim(), ratio.toFixed(2)]);
  }
  return found;
}"""
"""Gives how many texts it has `read`, and those whose contrast is below WCAG's AA (4.5, large text 3): text and contrast."""
