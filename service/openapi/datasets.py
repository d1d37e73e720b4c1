"""What the OpenAPI document says of the body of `POST /v1/datasets`."""

from typing import Any

_PICTURES = (
    "UEsDBBQAAAAIAAAAIQCCVkWuPgAAAEYAAAAKAAAAYmFycy8xLnBuZ+sM8HPn5ZLiYmBg4PX0cAkC0hwgzAgkGN6UNKuBJVwcQypuJXOkJjm0MbBW"
    "M6Q8Ft8PkmfwdPVzWeeU0AQAUEsDBBQAAAAIAAAAIQC69v4gPgAAAEYAAAAKAAAAYmFycy8yLnBuZ+sM8HPn5ZLiYmBg4PX0cAkC0hwgzAgkGN6U"
    "NKuBJVwcQypuJRukJTm0MTDXMjgFhT6fBVLg6ernss4poQkAUEsDBBQAAAAIAAAAIQAv56uNPgAAAEYAAAAKAAAAYmFycy8zLnBuZ+sM8HPn5ZLi"
    "YmBg4PX0cAkC0hwgzAgkGN6UNKuBJVwcQypuJU9ITHJoY2BSYdAuuKytAlLg6ernss4poQkAUEsDBBQAAAAIAAAAIQCaE5wEQgAAAEgAAAAKAAAA"
    "ZG90cy8xLnBuZ+sM8HPn5ZLiYmBg4PX0cAkC0hwgzAgkGN6UNKsBKX5PF8eQilvJHKlcqWkOCQx89xl35579ZwpS4unq57LOKaEJAFBLAwQUAAAA"
    "CAAAACEAL0wauEcAAABNAAAACgAAAGRvdHMvMi5wbmfrDPBz5+WS4mJgYOD19HAJAtIcIMwIJBjelDSrASkRTxfHkIpbyQZpRmkWh0um/bRsYWNQ"
    "KGPZ5yN7/BxInaern8s6p4QmAFBLAwQUAAAACAAAACEAgDOx1EwAAABRAAAACgAAAGRvdHMvMy5wbmfrDPBz5+WS4mJgYOD19HAJAtIcIMwIJBje"
    "lDSrASkJTxfHkIpbyRMSJyVuSqk486UlcrZjmycbg2g203JN7rWTQGo9Xf1c1jklNAEAUEsBAhQDFAAAAAgAAAAhAIJWRa4+AAAARgAAAAoAAAAA"
    "AAAAAAAAAIABAAAAAGJhcnMvMS5wbmdQSwECFAMUAAAACAAAACEAuvb+ID4AAABGAAAACgAAAAAAAAAAAAAAgAFmAAAAYmFycy8yLnBuZ1BLAQIU"
    "AxQAAAAIAAAAIQAv56uNPgAAAEYAAAAKAAAAAAAAAAAAAACAAcwAAABiYXJzLzMucG5nUEsBAhQDFAAAAAgAAAAhAJoTnARCAAAASAAAAAoAAAAA"
    "AAAAAAAAAIABMgEAAGRvdHMvMS5wbmdQSwECFAMUAAAACAAAACEAL0wauEcAAABNAAAACgAAAAAAAAAAAAAAgAGcAQAAZG90cy8yLnBuZ1BLAQIU"
    "AxQAAAAIAAAAIQCAM7HUTAAAAFEAAAAKAAAAAAAAAAAAAACAAQsCAABkb3RzLzMucG5nUEsFBgAAAAAGAAYAUAEAAH8CAAAAAA=="
)
"""A zip file with three pictures in each of the folders bars and dots."""


def _file(kind: str) -> dict[str, Any]:
    return {"type": "string", "format": "binary", "contentMediaType": kind}


REQUEST: dict[str, Any] = {
    "required": True,
    "description": "A zip file with a folder for each class, which may lie in one folder more, or with pictures alone, "
    "which are enough for an aligner; or an `.npz` file with the arrays `images` and `labels`; as it is, or in a form with "
    "one file.",
    "content": {
        "application/zip": {
            "schema": _file("application/zip"),
            "examples": {
                "classes": {
                    "summary": "Three pictures of each of two classes.",
                    "externalValue": f"data:application/zip;base64,{_PICTURES}",
                }
            },
        },
        "application/octet-stream": {"schema": _file("application/octet-stream")},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": _file("application/zip")},
            },
        },
    },
}
