document.querySelector("main").textContent = "The page is being made.";
