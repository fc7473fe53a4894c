"""As much of curl as docs/api.md needs, for a machine that has none: -sSNi, -X, -H, -d and a URL."""

import sys

import httpx2


def main(arguments: list[str]) -> None:
    """Send the request and print the answer."""
    method, url, headers, body, show = "", "", list[tuple[str, str]](), None, False
    words = iter(arguments)
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers.append((name, value.strip()))
        elif word == "-d":
            body = next(words)
        elif word.startswith("-"):
            show = show or "i" in word
        else:
            url = word
    method = method or ("GET" if body is None else "POST")
    with httpx2.stream(method, url, headers=headers, content=body, timeout=30) as answer:
        if show:
            sys.stdout.write(f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\n")
            sys.stdout.write("".join(f"{name}: {value}\n" for name, value in answer.headers.items()) + "\n")
        for text in answer.iter_text():
            sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
