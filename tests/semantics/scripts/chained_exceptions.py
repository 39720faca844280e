"""An exception raised from another, uncaught, three frames deep."""


def price(quantity):
    return 100 / quantity


def order(quantity):
    try:
        return price(quantity)
    except ZeroDivisionError as error:
        raise ValueError("no quantity") from error


def again():
    try:
        order(0)
    except ValueError:
        raise KeyError("while handling")


print("before")
again()
