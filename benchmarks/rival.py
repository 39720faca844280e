"""What an order costs a plain Flask server: ``python -m benchmarks.rival PORT FILE``.

The least that a paper mode on Flask, SQLAlchemy and SQLite does for an order: it reads the
JSON, knows the key, writes the order as a row and commits, and answers with its number. No
limits, no margin, no matching, no book: a real one does all that besides.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEY = "k" * 64


def main(port: int, file: Path) -> None:
    """Serves until it is ended."""
    from flask import Flask, jsonify, request
    from flask_sqlalchemy import SQLAlchemy
    from werkzeug.serving import WSGIRequestHandler

    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{file}"
    db: Any = SQLAlchemy(app)

    class Order(db.Model):  # type: ignore[misc]
        id = db.Column(db.Integer, primary_key=True)
        strategy = db.Column(db.String(100))
        symbol = db.Column(db.String(50), index=True)
        exchange = db.Column(db.String(20))
        action = db.Column(db.String(10))
        quantity = db.Column(db.Integer)
        price_type = db.Column(db.String(20))
        product = db.Column(db.String(20))
        status = db.Column(db.String(20), index=True)
        at = db.Column(db.DateTime)

    with app.app_context():
        db.create_all()

    @app.post("/api/v1/placeorder")
    def place() -> Any:
        asked = request.get_json()
        if asked.get("apikey") != KEY:
            return jsonify(status="error", message="Invalid openalgo apikey"), 403
        order = Order(
            strategy=asked["strategy"],
            symbol=asked["symbol"],
            exchange=asked["exchange"],
            action=asked["action"],
            quantity=int(asked["quantity"]),
            price_type=asked["pricetype"],
            product=asked["product"],
            status="complete",
            at=datetime.now(UTC),
        )
        db.session.add(order)
        db.session.commit()
        return jsonify(status="success", orderid=str(order.id))

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections are kept, as ours are
    app.run(port=port, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
