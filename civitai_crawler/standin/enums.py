"""The site's fixed lists, as far as the stand-in checks or prints them."""

from __future__ import annotations

MODEL_TYPES = (
    *("Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon"),
    *("DoRA", "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet"),
    *("CLIPVision", "Poses", "Wildcards", "Workflows", "ComfyWorkflows", "Detection"),
    *("VisionLanguage", "CLIP", "LLM", "Other"),
)
FILE_TYPES = (
    *("Model", "Text Encoder", "Vision Encoder", "Pruned Model", "Negative", "Training Data"),
    *("VAE", "Config", "Archive", "UNet", "Diffusion Model", "CLIPVision", "ControlNet"),
    *("Workflow", "Upscaler", "Enhancement LoRA", "Other"),
)
FILE_FORMATS = ("SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other")
BASE_MODELS = ("SD 1.5", "SDXL 1.0", "Illustrious", "Pony", "Flux.1 D", "Other")
BASE_MODEL_TYPES = ("Standard", "Inpainting", "Refiner", "Pix2Pix")
MODEL_SORTS = (
    *("Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected"),
    *("Most Images", "Newest", "Oldest"),
)
IMAGE_SORTS = ("Most Reactions", "Most Comments", "Most Collected", "Newest", "Oldest", "Random")
POST_SORTS = ("Most Reactions", "Most Comments", "Most Collected", "Newest")
PERIODS = ("Day", "Week", "Month", "Year", "AllTime")
MEDIA_TYPES = ("image", "video", "audio")
LEVEL_WORDS = {"None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32}
LEVEL_NAMES = {0: "None", 1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X", 32: "Blocked"}
MATURE, EVERYTHING = 28, 31
