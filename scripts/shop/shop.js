// Fetches what there is to buy, and shows it; then what others have bought.
const show = (place, goods) => {
  for (const { name, picture } of goods) {
    const item = document.createElement("section");
    item.innerHTML = `<h2>${name}</h2><img src="${picture}" width="200" height="200" alt="">`;
    document.getElementById(place).append(item);
  }
};
const get = async (name) => (await fetch(name)).json();
get("goods.json").then(async (goods) => {
  show("goods", goods);
  show("also", await get("also.json"));
});
